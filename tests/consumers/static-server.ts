import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/** Serves a folder as any web server does: below a path, and as a CDN to pages of other origins. */
export class StaticServer {
  readonly url: string;
  /** The files that were sent, by their paths in the folder. */
  readonly sent = new Map<string, Buffer>();
  readonly #server: Server;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}${path}`;
  }

  static async start(
    folder: string,
    path = "/",
    headers: Record<string, string> = {},
  ): Promise<StaticServer> {
    const server = createServer(async (request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      const inside = normalize(decodeURIComponent(pathname.slice(path.length)));
      const name = inside === "." ? "index.html" : inside;
      const file = pathname.startsWith(path) && !name.startsWith("..");
      const bytes = file ? await readFile(join(folder, name)).catch(() => undefined) : undefined;
      if (!bytes) {
        response.writeHead(404, { "Content-Type": "text/plain", ...headers }).end("not found");
        return;
      }
      started.sent.set(name, bytes);
      response
        .writeHead(200, { "Content-Type": types[extname(name)] ?? "application/octet-stream", ...headers })
        .end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const started = new StaticServer(server, path);
    return started;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
