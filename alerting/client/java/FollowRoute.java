// Follows the route of a target and takes permits of a limit, with the JDK alone:
//
//     java FollowRoute.java 127.0.0.1:8083 broker orders 5
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class FollowRoute {
    private static final HttpClient HTTP = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();

    record State(String name, String url, long epoch, long sequence) {}

    // Kept current by a long poll; never goes back to an older decision. While nobody answers, the last one stays.
    private static volatile State state = new State("", "", 0, 0);
    private static final CountDownLatch KNOWN = new CountDownLatch(1);

    static void follow(String address, String target) {
        String etag = null;
        while (true) {
            try {
                HttpRequest.Builder request =
                        HttpRequest.newBuilder(URI.create("http://" + address + "/v1/routes/" + target + "?wait=20s"))
                                .timeout(Duration.ofSeconds(30));
                if (etag != null) {
                    request.header("If-None-Match", etag);
                }
                HttpResponse<String> answer = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
                if (answer.statusCode() == 200) {
                    etag = answer.headers().firstValue("ETag").orElse(null);
                    String json = answer.body();
                    String name = text(json, "active");
                    Matcher url = Pattern.compile("\"name\":\"" + Pattern.quote(name) + "\",\"url\":\"([^\"]*)\"").matcher(json);
                    State fresh = new State(name, url.find() ? url.group(1) : "", number(json, "epoch"), number(json, "sequence"));
                    if (fresh.epoch > state.epoch || (fresh.epoch == state.epoch && fresh.sequence >= state.sequence)) {
                        state = fresh;
                        KNOWN.countDown();
                    }
                    continue;
                }
                if (answer.statusCode() != 304) {
                    etag = null;
                    Thread.sleep(200);
                }
            } catch (java.io.IOException away) {
                etag = null;
                try {
                    Thread.sleep(200);
                } catch (InterruptedException stop) {
                    return;
                }
            } catch (InterruptedException stop) {
                return;
            }
        }
    }

    // How many permits were granted; 0 when none came in time.
    static long acquire(String address, String limit, int permits, int waitMs) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + address + "/v1/limits/" + limit + "/acquire"))
                .timeout(Duration.ofMillis(waitMs + 2000))
                .POST(HttpRequest.BodyPublishers.ofString("{\"permits\":" + permits + ",\"waitMs\":" + waitMs + "}"))
                .build();
        HttpResponse<String> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        return answer.statusCode() == 200 ? number(answer.body(), "granted") : 0;
    }

    private static String text(String json, String member) {
        Matcher found = Pattern.compile("\"" + member + "\":\"([^\"]*)\"").matcher(json);
        return found.find() ? found.group(1) : "";
    }

    private static long number(String json, String member) {
        Matcher found = Pattern.compile("\"" + member + "\":(\\d+)").matcher(json);
        return found.find() ? Long.parseLong(found.group(1)) : 0;
    }

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        Thread follower = new Thread(() -> follow(address, arguments[1]));
        follower.setDaemon(true);
        follower.start();
        if (!KNOWN.await(10, TimeUnit.SECONDS)) {
            System.err.println("nobody at " + address + " knows a route of " + arguments[1]);
            System.exit(1);
        }
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Long.parseLong(arguments[3]));
        while (System.nanoTime() < end) {
            if (acquire(address, arguments[2], 1, 1000) > 0) {
                System.out.println("an order goes to " + state.name + " (" + state.url + ")");
            }
        }
    }
}
