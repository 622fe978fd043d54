import java.io.IOException;
import java.io.PrintStream;
import org.codelibs.opensearch.runner.OpenSearchRunner;
import org.opensearch.http.HttpInfo;
import org.opensearch.transport.TransportInfo;

/**
 * One embedded OpenSearch node on 127.0.0.1, as process.py starts it:
 * {@code java Node.java FOLDER PLUGINS [NAME=VALUE...]}.
 *
 * <p>The plugins are class names separated by commas, to load beside what the runner loads by
 * itself. The settings replace those below; further ones are read from
 * {@code FOLDER/node_1/config/opensearch.yml} if it exists.
 *
 * <p>Prints {@code HOST:PORT HOST:PORT} as its only line on standard output once both ports are
 * open, HTTP's and the transport's; every log goes to standard error. Lives until standard input closes, so it never outlives its parent,
 * however that one ends. The data is thrown away, so it halts without an orderly shutdown.
 *
 * <p>Compiles on Java 11 and against OpenSearch 2 and 3 alike.
 */
public class Node {
  public static void main(String[] arguments) throws Exception {
    String folder = arguments[0];
    String plugins = arguments[1];
    PrintStream answer = System.out;
    System.setOut(System.err);
    haltWhenInputCloses();

    OpenSearchRunner runner = new OpenSearchRunner();
    runner.onBuild(
        (number, settings) -> {
          settings.put("node.name", "node-1");
          settings.put("discovery.type", "single-node");
          settings.put("http.host", "127.0.0.1");
          settings.put("transport.host", "127.0.0.1");
          // The system chooses both ports: a port looked up beforehand may be taken by then.
          settings.put("http.port", "0");
          settings.put("transport.port", "0");
          settings.putList("node.roles", "cluster_manager", "data", "ingest");
          // A nearly full disk of the developer is no reason to refuse a test's few documents.
          settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
          for (int further = 2; further < arguments.length; further++) {
            String[] pair = arguments[further].split("=", 2);
            settings.put(pair[0], pair[1]);
          }
        });
    OpenSearchRunner.Configs configs =
        OpenSearchRunner.newConfigs().basePath(folder).clusterName("tests").numOfNode(1);
    configs.pluginTypes(plugins);
    runner.build(configs);

    var node = runner.admin().cluster().prepareNodesInfo("_local").get().getNodes().get(0);
    answer.println(
        node.getInfo(HttpInfo.class).address().publishAddress()
            + " "
            + node.getInfo(TransportInfo.class).address().publishAddress());
    answer.flush();
    Thread.currentThread().join();
  }

  private static void haltWhenInputCloses() {
    Thread watch =
        new Thread(
            () -> {
              try {
                while (System.in.read() >= 0) {}
              } catch (IOException closed) {
                // The same as its end.
              }
              Runtime.getRuntime().halt(0);
            },
            "halt-when-input-closes");
    watch.setDaemon(true);
    watch.start();
  }
}
