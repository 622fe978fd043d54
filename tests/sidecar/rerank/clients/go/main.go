// Calls RunRerank with Tencent Cloud's official Go SDK and prints what it understood as JSON.
// Arguments: host:port, POST or GET, secret id, secret key, query, documents...
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	lkeap "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/lkeap/v20240522"
)

func main() {
	prof := profile.NewClientProfile()
	prof.HttpProfile.Endpoint = os.Args[1]
	prof.HttpProfile.Scheme = "HTTP"
	prof.HttpProfile.ReqMethod = os.Args[2]
	credential := common.NewCredential(os.Args[3], os.Args[4])
	client, err := lkeap.NewClient(credential, "ap-jakarta", prof)
	if err != nil {
		fail(err)
	}
	request := lkeap.NewRunRerankRequest()
	request.Query = common.StringPtr(os.Args[5])
	request.Docs = common.StringPtrs(os.Args[6:])
	response, err := client.RunRerank(request)
	var refused *tcerrors.TencentCloudSDKError
	if errors.As(err, &refused) {
		print(map[string]any{"code": refused.GetCode(), "request_id": refused.GetRequestId()})
		return
	}
	if err != nil {
		fail(err)
	}
	print(map[string]any{
		"scores":     response.Response.ScoreList,
		"tokens":     *response.Response.Usage.TotalTokens,
		"request_id": *response.Response.RequestId,
	})
}

func print(answer map[string]any) {
	text, err := json.Marshal(answer)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(text))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
