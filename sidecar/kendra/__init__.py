"""Amazon Kendra's Query and Retrieve (`kendra`, 2019-02-03) over an OpenSearch index."""
