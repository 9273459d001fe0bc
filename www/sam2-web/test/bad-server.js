// A file server that misbehaves as servers, proxies and connections do; the way is the first part of the path, what
// comes after it names the file. For the unit tests by itself, for the browser tests inside their server.

/**
 * @typedef {{ method?: string, url?: string, headers: Record<string, string | string[] | undefined> }} Asked
 * @typedef {{ url: string, way: string, range: string | undefined }} Request
 */

/** The state of one server: what it was asked, oldest first. */
export class BadServer {
  /** @type {Request[]} */
  requests = [];
  #file;
  /** Ways that were met before: most misbehave only at first. */
  #met = new Map();
  #behaves = new Set();

  /** @param {(name: string) => Promise<Buffer>} file */
  constructor(file) {
    this.#file = file;
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   * @param {string} prefix of the path, before the way
   */
  async answer(request, response, prefix) {
    const { pathname, search } = new URL(request.url ?? "/", "http://localhost");
    const [way = "", ...rest] = pathname.slice(prefix.length).split("/");
    const range = request.headers.range;
    this.requests.push({ url: request.url ?? "", way, range });
    // Each address is met for the first time once: a query makes it another.
    const times = (this.#met.get(request.url) ?? 0) + 1;
    this.#met.set(request.url, times);
    const file = await this.#file(rest.join("/"));
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    const base = { "Content-Type": "application/octet-stream", ETag: '"one"', "Cache-Control": "no-store" };
    const whole = (bytes = file, headers = {}) =>
      response.writeHead(200, { ...base, "Content-Length": bytes.length, ...headers }).end(bytes);
    const piece = (headers = {}) => {
      if (!from) return whole(file, headers);
      if (from >= file.length) return response.writeHead(416, base).end();
      const bytes = file.subarray(from);
      const contentRange = `bytes ${from}-${file.length - 1}/${file.length}`;
      const all = { ...base, "Content-Length": bytes.length, "Content-Range": contentRange, ...headers };
      return response.writeHead(206, all).end(bytes);
    };
    /** Sends on, then does as told. */
    const partly = (/** @type {number} */ upTo, /** @type {() => void} */ then, headers = {}) => {
      const bytes = file.subarray(from, upTo);
      const start = from ? { "Content-Range": `bytes ${from}-${file.length - 1}/${file.length}` } : {};
      response.writeHead(from ? 206 : 200, {
        ...base,
        "Content-Length": file.length - from,
        ...start,
        ...headers,
      });
      response.write(bytes, () => setTimeout(then, 50));
    };
    const cut = () => response.destroy();
    const share = (/** @type {number} */ part) => Math.floor(file.length * part);

    switch (way) {
      case "good":
        return piece();
      case "cuts": // twice
        return times <= 2 ? partly(share(times / 3), cut) : piece();
      case "always-cuts": // without ever getting on
        return partly(share(0.7), cut);
      case "cuts-until-told":
        return this.#behaves.has(search) ? piece() : partly(share(0.7), cut);
      case "behave": // from now on, at addresses with the same query
        this.#behaves.add(search);
        return whole(Buffer.alloc(0));
      case "cuts-without-ranges":
        return times === 1 ? partly(share(0.7), cut) : whole();
      case "cuts-and-changes": {
        if (times === 1) return partly(share(0.7), cut, { ETag: '"old"' });
        return piece();
      }
      case "cuts-and-forgets": // the length
        if (times > 1) return piece();
        response.writeHead(200, base);
        response.write(file.subarray(0, share(0.7)), () => setTimeout(cut, 50));
        return;
      case "wrong-piece": // and then the whole
        if (times === 1) return partly(share(0.7), cut);
        if (times > 2) return whole();
        return response
          .writeHead(206, {
            ...base,
            "Content-Length": file.length,
            "Content-Range": `bytes 0-${file.length - 1}/${file.length}`,
          })
          .end(file);
      case "too-far": // answers 416 to any range
        if (times === 1) return partly(share(0.7), cut);
        return from ? response.writeHead(416, base).end() : whole();
      case "stalls":
        return times === 1 ? partly(share(0.7), () => {}) : piece();
      case "always-stalls":
        return; // not even headers
      case "corrupts": {
        const bytes = Buffer.from(file);
        bytes[share(0.5)] = (bytes[share(0.5)] ?? 0) ^ 1;
        return whole(bytes);
      }
      case "corrupts-at-the-start": {
        const bytes = Buffer.from(file);
        bytes.fill(0, 0, 64);
        return whole(bytes);
      }
      case "corrupts-at-first": {
        if (times > 1) return piece();
        const bytes = Buffer.from(file);
        bytes[share(0.1)] = (bytes[share(0.1)] ?? 0) ^ 1;
        response.writeHead(200, { ...base, "Content-Length": file.length });
        response.write(bytes.subarray(0, share(0.7)), () => setTimeout(cut, 50));
        return;
      }
      case "redirects":
        return response.writeHead(302, { Location: `${prefix}good/${rest.join("/")}` }).end();
      case "redirects-for-ever":
        return response.writeHead(302, { Location: pathname }).end();
      case "forgets-length":
        response.writeHead(200, base);
        response.write(file.subarray(0, share(0.5)), () => response.end(file.subarray(share(0.5))));
        return;
      case "is-busy": // twice
        return times <= 2 ? response.writeHead(503, base).end("busy") : piece();
      case "start-page":
        return whole(Buffer.from("<!doctype html>"), { "Content-Type": "text/html" });
      case "pointer":
        return whole(
          Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 156008466\n"),
        );
      default:
        return response.writeHead(Number(way) || 404, base).end("no");
    }
  }
}
