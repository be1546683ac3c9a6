/** Counts what this page sends, below the packages. Imported before them. */

/** One-way streams opened over WebTransport (a group is one), and messages and bytes sent over WebSocket. */
export const sent = { streams: 0, messages: 0, messageBytes: 0 };

if (globalThis.WebTransport) {
  const { prototype } = globalThis.WebTransport;
  const open = prototype.createUnidirectionalStream;
  prototype.createUnidirectionalStream = function createUnidirectionalStream(...args) {
    sent.streams++;
    return open.apply(this, args);
  };
}

const { send } = WebSocket.prototype;
WebSocket.prototype.send = function countedSend(data) {
  sent.messages++;
  sent.messageBytes += data.byteLength ?? data.length;
  return send.call(this, data);
};
