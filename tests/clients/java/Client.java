// An application that uses the JDK's own HTTP client, which offers an upgrade to h2c with every
// request. Prints one JSON line for each operation: its name, the status and the body.
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.zip.GZIPOutputStream;

public class Client {
    private final HttpClient http = HttpClient.newHttpClient();
    private final String url;

    private Client(String url) {
        this.url = url;
    }

    public static void main(String[] arguments) throws Exception {
        new Client(arguments[0]).run(arguments[1]);
    }

    private void run(String index) throws Exception {
        String query = "{\"query\":{\"match\":{\"body\":\"red shoes\"}},\"size\":4}";
        StringBuilder bulk = new StringBuilder();
        for (int number = 0; number < 30; ++number) {
            bulk.append("{\"index\":{\"_id\":\"" + number + "\"}}\n");
            bulk.append("{\"n\":" + number + ",\"body\":\"red caf\u00e9 " + "shoes ".repeat(number));
            bulk.append("\"}\n");
        }
        tell("info", "GET", "/", null, false);
        tell("create", "PUT", "/" + index, "{\"settings\":{\"number_of_shards\":1}}", false);
        tell("bulk", "POST", "/" + index + "/_bulk?refresh=true", bulk.toString(), true);
        tell("get", "GET", "/" + index + "/_doc/3", null, false);
        tell("missing", "GET", "/" + index + "/_doc/a%2Fb", null, false);
        tell("exists", "HEAD", "/" + index + "/_doc/3", null, false);
        tell("search", "POST", "/" + index + "/_search", query, false);
        tell("search compressed", "POST", "/" + index + "/_search?from=4", query, true);
        tell("scroll", "POST", "/" + index + "/_search?scroll=1m&sort=n", query, false);
        tell("refused", "POST", "/" + index + "/_search", "{\"query\":", false);
        tell("delete", "DELETE", "/" + index + "/_doc/3", null, false);
        tell("delete again", "DELETE", "/" + index + "/_doc/3", null, false);
        tell("drop", "DELETE", "/" + index, null, false);
    }

    private void tell(String name, String method, String target, String body, boolean compressed)
            throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + target));
        if (body == null) {
            request.method(method, BodyPublishers.noBody());
        } else {
            byte[] content = body.getBytes(StandardCharsets.UTF_8);
            if (compressed) {
                ByteArrayOutputStream buffer = new ByteArrayOutputStream();
                try (GZIPOutputStream gzip = new GZIPOutputStream(buffer)) {
                    gzip.write(content);
                }
                content = buffer.toByteArray();
                request.header("Content-Encoding", "gzip");
            }
            request.header("Content-Type", "application/json");
            request.method(method, BodyPublishers.ofByteArray(content));
        }
        HttpResponse<byte[]> response = http.send(request.build(), BodyHandlers.ofByteArray());
        String encoded = Base64.getEncoder().encodeToString(response.body());
        System.out.printf("[\"%s\",%d,\"%s\"]%n", name, response.statusCode(), encoded);
    }
}
