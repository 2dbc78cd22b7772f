import java.io.IOException;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.AbstractHandler;
import org.eclipse.jetty.server.handler.StatisticsHandler;

/**
 * Jetty 9.4 with the settings of its distribution: {@code java JettyServer HOST PORT [best]}.
 *
 * <p>{@code best} adds the StatisticsHandler, without which Jetty does not know what is in flight; the
 * preStop hook that it goes with is GET /leave.
 */
public final class JettyServer {
    private static final String VERSION = System.getenv().getOrDefault("VERSION", "unknown");

    public static void main(String[] arguments) throws Exception {
        var server = new Server();
        var connector = new ServerConnector(server);
        connector.setHost(arguments[0]);
        connector.setPort(Integer.parseInt(arguments[1]));
        server.addConnector(connector);
        server.setHandler(new Application());
        // What start.jar does with its default jetty.server.* properties.
        server.setStopAtShutdown(true);
        server.setStopTimeout(5_000);
        if (arguments.length > 2 && arguments[2].equals("best")) {
            var statistics = new StatisticsHandler();
            statistics.setHandler(server.getHandler());
            server.setHandler(statistics);
            server.setStopTimeout(20_000);
        }
        server.start();
        server.join();
    }

    private static final class Application extends AbstractHandler {
        /** Longer than a proxy needs to hear that the pod is leaving. */
        private static final int LEAVING_FOR = 5;

        private volatile boolean leaving;

        @Override
        public void handle(String target, Request base, HttpServletRequest request,
                HttpServletResponse response) throws IOException {
            if (target.startsWith("/sleep/")) {
                pause(Math.min(Double.parseDouble(target.substring(7)), 60));
            } else if (target.equals("/leave")) {
                // From now on clients are told to leave by themselves, while the server still accepts.
                leaving = true;
                pause(LEAVING_FOR);
            }
            if (leaving) {
                response.setHeader("Connection", "close");
            }
            response.setContentType("text/plain");
            response.getWriter().print(VERSION);
            base.setHandled(true);
        }

        private static void pause(double seconds) {
            try {
                Thread.sleep(Math.round(seconds * 1000));
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private JettyServer() {}
}
