import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/**
 * Java's own server, {@code com.sun.net.httpserver}: {@code java Plain HOST PORT [best]}.
 *
 * <p>As it comes nothing is done about SIGTERM, which ends the virtual machine at once. {@code best}
 * calls {@code stop()} in a shutdown hook; the preStop hook that it goes with is GET /leave.
 */
public final class Plain {
    private static final String VERSION = System.getenv().getOrDefault("VERSION", "unknown");
    /** Longer than a proxy needs to hear that the pod is leaving. */
    private static final int LEAVING_FOR = 5;

    private static volatile boolean leaving;

    public static void main(String[] arguments) throws IOException {
        var address = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        var server = HttpServer.create(address, 1024);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", Plain::handle);
        if (arguments.length > 2 && arguments[2].equals("best")) {
            // Accepts no more, and waits so many seconds for what is in flight.
            Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(2)));
        }
        server.start();
    }

    private static void handle(HttpExchange exchange) throws IOException {
        var path = exchange.getRequestURI().getPath();
        if (path.startsWith("/sleep/")) {
            pause(Math.min(Double.parseDouble(path.substring(7)), 60));
        } else if (path.equals("/leave")) {
            // From now on clients are told to leave by themselves, while the server still accepts.
            leaving = true;
            pause(LEAVING_FOR);
        }
        if (leaving) {
            exchange.getResponseHeaders().set("Connection", "close");
        }
        var body = VERSION.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static void pause(double seconds) {
        try {
            Thread.sleep(Math.round(seconds * 1000));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private Plain() {}
}
