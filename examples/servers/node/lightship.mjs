// lightship, with the server's close() as its shutdown handler.
// --best tells clients to leave while it still accepts, and then waits for close(), instead of a
// second for what is in flight.
import http from 'node:http';
import { createLightship } from 'lightship';
import common from './common.js';

const { handle, options, port } = common;

const lightship = await createLightship({
  // Without Kubernetes around it lightship would take a random port, and not delay anything.
  detectKubernetes: false,
  // Of its own probes, which it answers on all addresses: any here, 9000 in a container.
  port: 0,
  // What its shutdown handler is given: 5 s by default.
  ...(options.best && { shutdownHandlerTimeout: 20_000 }),
});
const server = http.createServer((request, response) => {
  if (options.best && lightship.isServerShuttingDown()) response.setHeader('Connection', 'close');
  handle(request, response);
});
server.listen(port, options.host);
lightship.registerShutdownHandler(() => {
  const closed = new Promise((resolve) => server.close(resolve));
  return options.best ? closed : undefined;
});
lightship.signalReady();
