// Calls Kendra or Kendra Ranking with the AWS SDK for Java v2 and prints what came out, a line each.
// Arguments: the endpoint, and an index or the word "ranking".

import java.net.URI;
import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kendra.KendraClient;
import software.amazon.awssdk.services.kendra.model.ValidationException;
import software.amazon.awssdk.services.kendraranking.KendraRankingClient;
import software.amazon.awssdk.services.kendraranking.model.Document;
import software.amazon.awssdk.services.kendraranking.model.ResourceNotFoundException;

public class Kendra {
    static final StaticCredentialsProvider KEYS =
        StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));

    public static void main(String[] arguments) {
        URI endpoint = URI.create(arguments[0]);
        if (arguments[1].equals("ranking")) {
            rank(endpoint);
        } else {
            query(endpoint, arguments[1]);
        }
    }

    static String list(List<String> names) {
        return names.stream().map(name -> '"' + name + '"').collect(Collectors.joining(",", "[", "]"));
    }

    static void query(URI endpoint, String index) {
        KendraClient client = KendraClient.builder().endpointOverride(endpoint)
            .region(Region.US_EAST_1).credentialsProvider(KEYS)
            .httpClient(UrlConnectionHttpClient.create()).build();
        Instant since = Instant.parse("2022-01-01T00:00:00Z");
        var query = client.query(request -> request.indexId(index).queryText("kettle")
            .attributeFilter(filter -> filter.greaterThan(attribute ->
                attribute.key("_created_at").value(value -> value.dateValue(since))))
            .facets(facet -> facet.documentAttributeKey("_category")));
        var found = query.resultItems().stream().map(item -> item.documentId()).toList();
        System.out.printf("[\"query\",%s,%d]%n", list(found), query.totalNumberOfResults());
        var pairs = query.facetResults().get(0).documentAttributeValueCountPairs();
        System.out.printf("[\"facet\",%b]%n", pairs.get(0).count() > 0);
        var retrieved = client.retrieve(request -> request.indexId(index).queryText("kettle"));
        found = retrieved.resultItems().stream().map(item -> item.documentId()).toList();
        System.out.printf("[\"retrieve\",%s]%n", list(found));
        String result = query.resultItems().get(0).id();
        client.submitFeedback(request -> request.indexId(index).queryId(query.queryId())
            .clickFeedbackItems(click -> click.resultId(result).clickTime(Instant.now())));
        try {
            client.query(request -> request.indexId(index).queryText("kettle").pageSize(0));
        } catch (ValidationException error) {
            boolean says = !error.awsErrorDetails().errorMessage().isEmpty();
            System.out.printf("[\"refused\",true,%b]%n", says);
        }
    }

    static void rank(URI endpoint) {
        KendraRankingClient client = KendraRankingClient.builder().endpointOverride(endpoint)
            .region(Region.US_EAST_1).credentialsProvider(KEYS)
            .httpClient(UrlConnectionHttpClient.create()).build();
        String plan = client.createRescoreExecutionPlan(request -> request.name("from-java")).id();
        var described = client.describeRescoreExecutionPlan(request -> request.id(plan));
        System.out.println(described.name() + " " + described.statusAsString());
        var rescored = client.rescore(request -> request.rescoreExecutionPlanId(plan)
            .searchQuery("soup").documents(
                Document.builder().id("a").body("Lunch.").originalScore(2f).build(),
                Document.builder().id("b").body("Soup on Monday.").originalScore(1f).build()));
        System.out.println(rescored.resultItems().stream()
            .map(item -> item.documentId() + " " + (item.score() > 0))
            .sorted().collect(Collectors.joining(" ")));
        client.deleteRescoreExecutionPlan(request -> request.id(plan));
        try {
            client.describeRescoreExecutionPlan(request -> request.id(plan));
        } catch (ResourceNotFoundException error) {
            System.out.println("gone " + error.statusCode());
        }
    }
}
