// `node dev/bench/delaying-proxy.ts PORT HOST HOST-PORT MILLISECONDS`: passes TCP connections to PORT on to HOST. Every byte, either
// way, arrives that much later; the rate stays what it is. Says `listening` once it does.
import { connect, createServer, type Socket } from "node:net";

const [port, host, hostPort, delay] = process.argv.slice(2);

createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const server = connect({
    host: host ?? "",
    port: Number(hostPort),
    allowHalfOpen: true,
    noDelay: true,
  });
  passOn(client, server);
  passOn(server, client);
}).listen(Number(port), () => console.log("listening"));

function passOn(from: Socket, to: Socket): void {
  const later = (work: () => void) => setTimeout(work, Number(delay));
  from.on("data", (bytes) =>
    later(() => {
      if (to.destroyed || to.write(bytes) || from.isPaused()) return;
      from.pause();
      to.once("drain", () => from.resume());
    }),
  );
  from.on("end", () => later(() => to.end()));
  from.on("error", () => to.destroy());
}
