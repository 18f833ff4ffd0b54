import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;

/** A service that is slow to start: it loads for a while, and answers from then on. See warm-jvm.sh. */
public class Warm {
    public static void main(String[] words) throws Exception {
        long started = System.nanoTime();
        Map<String, Long> table = new HashMap<>(); // something slow: in life, a model or an index
        for (long number = 0; number < 500_000; number++) table.put("key " + number, number * number);
        Thread.sleep(1000);

        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[0])), 0);
        server.createContext("/", exchange -> {
            Long value = table.get("key " + exchange.getRequestURI().getPath().substring(1));
            byte[] body = String.valueOf(value).getBytes();
            exchange.sendResponseHeaders(value == null ? 404 : 200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.printf("loaded in %.1f s%n", (System.nanoTime() - started) / 1e9);
    }
}
