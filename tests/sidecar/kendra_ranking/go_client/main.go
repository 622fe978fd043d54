// Calls every operation of the service with the Go SDK v2 and prints what a test looks at, one
// line each. The first argument is the endpoint.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kendraranking"
	"github.com/aws/aws-sdk-go-v2/service/kendraranking/types"
)

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func main() {
	background := context.Background()
	client := kendraranking.New(kendraranking.Options{
		Region:           "us-east-1",
		EndpointResolver: kendraranking.EndpointResolverFromURL(os.Args[1]),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "KEY", SecretAccessKey: os.Args[2]}, nil
		}),
	})

	created, err := client.CreateRescoreExecutionPlan(background,
		&kendraranking.CreateRescoreExecutionPlanInput{
			Name:          aws.String("from-go"),
			CapacityUnits: &types.CapacityUnitsConfiguration{RescoreCapacityUnits: aws.Int32(2)},
			Tags:          []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
		})
	check(err)

	described, err := client.DescribeRescoreExecutionPlan(background,
		&kendraranking.DescribeRescoreExecutionPlanInput{Id: created.Id})
	check(err)
	fmt.Println("described", *described.Name, described.Status,
		*described.CapacityUnits.RescoreCapacityUnits, !described.CreatedAt.IsZero())

	rescored, err := client.Rescore(background, &kendraranking.RescoreInput{
		RescoreExecutionPlanId: created.Id,
		SearchQuery:            aws.String("reset a password"),
		Documents: []types.Document{
			{Id: aws.String("d2"), Body: aws.String("Soup on Monday."), OriginalScore: aws.Float32(4.1)},
			{Id: aws.String("d1@1"), GroupId: aws.String("d1"), TokenizedBody: []string{"forgot", "password"}, OriginalScore: aws.Float32(3.2)},
			{Id: aws.String("d1@2"), GroupId: aws.String("d1"), TokenizedBody: []string{"contact"}, OriginalScore: aws.Float32(3.2)},
		},
	})
	check(err)
	fmt.Print("rescored", len(*rescored.RescoreId))
	for _, item := range rescored.ResultItems {
		fmt.Print(" ", *item.DocumentId, " ", *item.Score > 0 && *item.Score < 1)
	}
	fmt.Println()

	_, err = client.UpdateRescoreExecutionPlan(background,
		&kendraranking.UpdateRescoreExecutionPlanInput{Id: created.Id, Description: aws.String("d")})
	check(err)
	_, err = client.UntagResource(background, &kendraranking.UntagResourceInput{
		ResourceARN: created.Arn, TagKeys: []string{"k"}})
	check(err)
	_, err = client.TagResource(background, &kendraranking.TagResourceInput{
		ResourceARN: created.Arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	check(err)
	tags, err := client.ListTagsForResource(background,
		&kendraranking.ListTagsForResourceInput{ResourceARN: created.Arn})
	check(err)
	fmt.Println("tags", len(tags.Tags), *tags.Tags[0].Key, *tags.Tags[0].Value)

	pages := kendraranking.NewListRescoreExecutionPlansPaginator(client,
		&kendraranking.ListRescoreExecutionPlansInput{MaxResults: aws.Int32(1)})
	listed := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(background)
		check(err)
		listed += len(page.SummaryItems)
	}
	fmt.Println("listed", listed)

	_, err = client.DeleteRescoreExecutionPlan(background,
		&kendraranking.DeleteRescoreExecutionPlanInput{Id: created.Id})
	check(err)
	_, err = client.DescribeRescoreExecutionPlan(background,
		&kendraranking.DescribeRescoreExecutionPlanInput{Id: created.Id})
	var missing *types.ResourceNotFoundException
	fmt.Println("gone", errors.As(err, &missing) && missing.Message != nil)
}
