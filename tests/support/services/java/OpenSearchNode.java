import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.ingest.common.IngestCommonPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.search.aggregations.matrix.MatrixAggregationPlugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One OpenSearch node in one JVM, with its plugins taken from the class path.
 *
 * <p>Arguments are settings, {@code key=value}; a value with commas is a list. {@code path.home} is
 * required and its folders are created. Runs until SIGTERM. The system property {@code naru.plugins}
 * names further plugin classes. Without one of security: for tests on 127.0.0.1 only.
 */
public final class OpenSearchNode {
  private static final List<Class<? extends Plugin>> PLUGINS =
      List.of(
          Netty4Plugin.class,
          MapperExtrasPlugin.class,
          PainlessPlugin.class,
          ReindexPlugin.class,
          CommonAnalysisPlugin.class,
          IngestCommonPlugin.class,
          MatrixAggregationPlugin.class);

  /** The constructor that takes plugin classes is protected in Node. */
  private static final class ClasspathNode extends Node {
    ClasspathNode(Environment environment, Collection<Class<? extends Plugin>> plugins) {
      super(environment, plugins, false);
    }
  }

  public static void main(String[] arguments) throws Exception {
    Settings.Builder settings = Settings.builder();
    for (String argument : arguments) {
      int equals = argument.indexOf('=');
      if (equals < 1) {
        throw new IllegalArgumentException("not key=value: " + argument);
      }
      String key = argument.substring(0, equals);
      String value = argument.substring(equals + 1);
      if (value.indexOf(',') >= 0) {
        settings.putList(key, value.split(","));
      } else {
        settings.put(key, value);
      }
    }
    Path home = Path.of(settings.build().get("path.home"));
    for (String folder : List.of("config", "plugins", "modules", "data", "logs")) {
      Files.createDirectories(home.resolve(folder));
    }
    Environment environment =
        InternalSettingsPreparer.prepareEnvironment(
            settings.build(), Map.of(), null, () -> "node");
    List<Class<? extends Plugin>> plugins = new ArrayList<>(PLUGINS);
    for (String name : System.getProperty("naru.plugins", "").split(",")) {
      if (!name.isEmpty()) {
        plugins.add(Class.forName(name).asSubclass(Plugin.class));
      }
    }
    Node node = new ClasspathNode(environment, plugins);
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  try {
                    node.close();
                  } catch (Exception failure) {
                    failure.printStackTrace();
                  } finally {
                    stopped.countDown();
                  }
                }));
    node.start();
    stopped.await();
  }

  private OpenSearchNode() {}
}
