module kendraranking_client

go 1.21

require github.com/aws/aws-sdk-go-v2/service/kendraranking v1.0.0

require (
	github.com/aws/aws-sdk-go-v2 v1.17.3 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.1.27 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.4.21 // indirect
	github.com/aws/smithy-go v1.13.5 // indirect
)
