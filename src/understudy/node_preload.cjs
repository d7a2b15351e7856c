// Loaded into every Node program that runs behind the proxy. Before Node 24, fetch and https know no HTTPS_PROXY: here
// each TLS connection that they open goes through a CONNECT tunnel. What brings a socket of its own is left alone, and so
// is a Node that heeds NODE_USE_ENV_PROXY, for it brings one.
"use strict";

const http = require("node:http");
const tls = require("node:tls");
const { Duplex } = require("node:stream");

const proxy = process.env.HTTPS_PROXY && new URL(process.env.HTTPS_PROXY);
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[?::1\]?)$/i;

// The stream through the proxy to a host; what is written before the tunnel stands waits for it.
class Tunnel extends Duplex {
  constructor(host, port) {
    super();
    this.path = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  _construct(done) {
    const target = { host: proxy.hostname, port: proxy.port, path: this.path, headers: { host: this.path } };
    this.request = http.request({ ...target, method: "CONNECT", agent: false });
    this.request.once("error", done);
    this.request.once("connect", (answer, socket, head) => {
      this.socket = socket;
      socket.on("error", (error) => this.destroy(error));
      if (answer.statusCode !== 200) {
        let text = head.toString();
        socket.on("data", (data) => (text += data));
        socket.once("end", () => done(new Error(`${this.path}: the proxy answers ${answer.statusCode}: ${text.trim()}`)));
        return;
      }
      socket.pause();
      socket.on("data", (data) => this.push(data) || socket.pause());
      socket.once("end", () => this.push(null));
      socket.once("close", () => this.destroy());
      done();
    });
    this.request.end();
  }

  _read() {
    this.socket.resume();
  }

  _write(data, encoding, done) {
    this.socket.write(data, encoding, done);
  }

  _final(done) {
    this.socket.end(done);
  }

  _destroy(error, done) {
    this.request.destroy();
    this.socket?.destroy();
    done(error);
  }
}

if (proxy) {
  const connect = tls.connect;
  tls.connect = function (...given) {
    const listener = typeof given.at(-1) === "function" ? given.pop() : undefined;
    const named = typeof given[0] === "object" ? {} : { port: given[0], ...(typeof given[1] === "string" && { host: given[1] }) };
    const options = { ...named, ...given.find((one) => typeof one === "object") };
    const host = options.host || "localhost";
    if (options.socket || options.path || LOOPBACK.test(host)) return connect(options, listener);
    const tunnel = new Tunnel(host, options.port);
    const line = connect({ servername: host, ...options, socket: tunnel }, listener);
    // who keeps a connection for later lets the program end meanwhile
    line.ref = () => (tunnel.socket?.ref(), line);
    line.unref = () => (tunnel.socket?.unref(), line);
    return line;
  };
}
