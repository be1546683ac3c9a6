/** How a relay is reached by programs that go where its URL's scheme says. */

/** By name: the URL of a relay, from its HTTP address. */
export const TRANSPORTS = {
  webtransport: (url) => url.replace("http:", "https:"),
  quic: (url) => url.replace("http:", "moqt:"),
  websocket: (url) => url.replace("http:", "ws:"),
};
