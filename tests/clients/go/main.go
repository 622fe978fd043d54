// An application that uses opensearch-go, with compressed bodies and typed answers. Prints one
// JSON line for each operation: its name, the error and the answer.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/opensearch-project/opensearch-go/v4"
	"github.com/opensearch-project/opensearch-go/v4/opensearchapi"
)

func tell(name string, answer any, err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	line, problem := json.Marshal([]any{name, reason, answer})
	if problem != nil {
		panic(problem)
	}
	fmt.Println(string(line))
}

func main() {
	url, index := os.Args[1], os.Args[2]
	client, err := opensearchapi.NewClient(opensearchapi.Config{
		Client: opensearch.Config{Addresses: []string{url}, CompressRequestBody: true},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	body := func(text string) *strings.Reader { return strings.NewReader(text) }
	query := `{"query":{"match":{"body":"red shoes"}},"size":4}`

	info, err := client.Info(ctx, nil)
	tell("info", info, err)
	settings := body(`{"settings":{"number_of_shards":1}}`)
	created, err := client.Indices.Create(ctx, opensearchapi.IndicesCreateReq{Index: index, Body: settings})
	tell("create", created, err)

	var lines strings.Builder
	for n := 0; n < 30; n++ {
		text := "red café 😀 " + strings.Repeat("shoes ", n)
		fmt.Fprintf(&lines, "{\"index\":{\"_id\":\"%d\"}}\n{\"n\":%d,\"body\":\"%s\"}\n", n, n, text)
	}
	bulk, err := client.Bulk(ctx, opensearchapi.BulkReq{
		Index: index, Body: body(lines.String()), Params: opensearchapi.BulkParams{Refresh: "true"},
	})
	tell("bulk", bulk, err)

	for _, id := range []string{"3", "a%2Fb"} {
		found, err := client.Document.Get(ctx, opensearchapi.DocumentGetReq{Index: index, DocumentID: id})
		tell("get", found, err)
	}
	for _, text := range []string{query, query[:len(query)-1] + `,"from":4}`, `{"query":{"nonsense":{}}}`} {
		found, err := client.Search(ctx, &opensearchapi.SearchReq{Indices: []string{index}, Body: body(text)})
		tell("search", found, err)
	}

	page, err := client.Search(ctx, &opensearchapi.SearchReq{
		Indices: []string{index}, Body: body(`{"size":12}`),
		Params: opensearchapi.SearchParams{Scroll: time.Minute},
	})
	tell("scroll", page, err)
	for id := page.ScrollID; id != nil; {
		next, err := client.Scroll.Get(ctx, opensearchapi.ScrollGetReq{
			ScrollID: *id, Params: opensearchapi.ScrollGetParams{Scroll: time.Minute},
		})
		tell("next", next, err)
		id = next.ScrollID
		if len(next.Hits.Hits) == 0 {
			break
		}
	}

	for range 2 {
		deleted, err := client.Document.Delete(ctx, opensearchapi.DocumentDeleteReq{Index: index, DocumentID: "3"})
		tell("delete", deleted, err)
	}
	dropped, err := client.Indices.Delete(ctx, opensearchapi.IndicesDeleteReq{Indices: []string{index}})
	tell("drop", dropped, err)
}
