module rescore-sidecar.test/client

go 1.22

require github.com/opensearch-project/opensearch-go/v4 v4.5.0
