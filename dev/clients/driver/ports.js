/** Ports on the loopback interface. */

import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";

/** A port number that is free for UDP and for TCP, on all addresses, a moment ago. */
export async function freePort() {
  for (;;) {
    const tcp = net.createServer().listen(0, "::");
    await once(tcp, "listening");
    const { port } = tcp.address();
    const udp = dgram.createSocket("udp6").bind(port, "::");
    const isFree = await Promise.race([once(udp, "listening").then(() => true), once(udp, "error").then(() => false)]);
    tcp.close();
    udp.close();
    await once(tcp, "close");
    if (isFree) return port;
  }
}

/** Passes TCP connections to this port on to the relay's. `close()` ends them. */
export async function passTcp(port, relayPort) {
  const sockets = new Set();
  const tcp = net.createServer((client) => {
    const upstream = net.connect(relayPort, "localhost");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(from);
      from.setNoDelay();
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  tcp.listen(port, "::");
  await once(tcp, "listening");
  return {
    close() {
      for (const socket of sockets) socket.destroy();
      tcp.close();
    },
  };
}

/**
 * A door to the relay for those whose network drops UDP: TCP connections are passed on, datagrams to the same port vanish without
 * an answer. Gives the URL to use in place of the relay's.
 */
export async function withoutUdp(relayUrl) {
  const port = await freePort();
  const tcp = await passTcp(port, Number(new URL(relayUrl).port));
  const udp = dgram.createSocket("udp6").bind(port, "::");
  let swallowed = 0;
  udp.on("message", () => swallowed++);
  await once(udp, "listening");
  return {
    url: `http://localhost:${port}/`,
    swallowed: () => swallowed,
    close() {
      tcp.close();
      udp.close();
    },
  };
}
