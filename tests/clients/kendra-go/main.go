// Queries a Kendra index with the AWS SDK for Go v2 and prints what came out, a line each.
// Arguments: the endpoint, the index.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kendra"
	"github.com/aws/aws-sdk-go-v2/service/kendra/types"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func print(values ...any) {
	line, err := json.Marshal(values)
	check(err)
	fmt.Println(string(line))
}

func main() {
	background := context.Background()
	index := aws.String(os.Args[2])
	client := kendra.New(kendra.Options{
		Region:           "us-east-1",
		EndpointResolver: kendra.EndpointResolverFromURL(os.Args[1]),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})

	since := time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)
	query, err := client.Query(background, &kendra.QueryInput{
		IndexId:   index,
		QueryText: aws.String("kettle"),
		AttributeFilter: &types.AttributeFilter{GreaterThan: &types.DocumentAttribute{
			Key:   aws.String("_created_at"),
			Value: &types.DocumentAttributeValue{DateValue: &since},
		}},
		Facets: []types.Facet{{DocumentAttributeKey: aws.String("_category")}},
	})
	check(err)
	found := []string{}
	for _, item := range query.ResultItems {
		found = append(found, *item.DocumentId)
	}
	print("query", found, *query.TotalNumberOfResults)
	print("facet", *query.FacetResults[0].DocumentAttributeValueCountPairs[0].Count > 0)

	retrieved, err := client.Retrieve(background, &kendra.RetrieveInput{
		IndexId: index, QueryText: aws.String("kettle")})
	check(err)
	found = []string{}
	for _, item := range retrieved.ResultItems {
		found = append(found, *item.DocumentId)
	}
	print("retrieve", found)

	_, err = client.SubmitFeedback(background, &kendra.SubmitFeedbackInput{
		IndexId: index,
		QueryId: query.QueryId,
		ClickFeedbackItems: []types.ClickFeedback{
			{ResultId: query.ResultItems[0].Id, ClickTime: aws.Time(time.Now())}},
	})
	check(err)
	_, err = client.Query(background, &kendra.QueryInput{
		IndexId: index, QueryText: aws.String("kettle"), PageSize: aws.Int32(0)})
	var refused *types.ValidationException
	print("refused", errors.As(err, &refused), refused != nil && refused.ErrorMessage() != "")
}
