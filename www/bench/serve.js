// A static server for the bench: compresses what a good server would, lets the browser keep everything, notes what was
// asked for, and can be as slow as a line.
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { Readable } from "node:stream";
import { brotliCompressSync, gzipSync } from "node:zlib";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
const SLICE = 16 * 1024;

/** `page` is the built page, `models` what it finds under models/, `cache` a folder for what is slow to compress. */
export async function serve({ page, models, cache }) {
  const seen = new Map();
  let bytesPerMs = Number.POSITIVE_INFINITY;
  let lineFree = 0;

  // All answers share the line, as they would at home.
  async function* paced(source) {
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length; at += SLICE) {
        const slice = chunk.subarray(at, at + SLICE);
        lineFree = Math.max(lineFree, performance.now()) + slice.length / bytesPerMs;
        const wait = lineFree - performance.now();
        if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
        yield slice;
      }
    }
  }

  async function answer(request, response) {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const [folder, rest] = path.startsWith("/models/") ? [models, path.slice(8)] : [page, path.slice(1)];
    const file = normalize(join(folder, rest || "index.html"));
    const found = file.startsWith(folder) && (await stat(file).catch(() => undefined));
    if (!found?.isFile()) {
      response.writeHead(404).end("not found");
      return;
    }
    const type = types[extname(file)];
    seen.set(file, found.size);
    const small =
      type && /br/.test(request.headers["accept-encoding"] ?? "") && compressed(file, cache).brotli;
    response.writeHead(200, {
      "Content-Type": type ?? "application/octet-stream",
      "Content-Length": small ? small.length : found.size,
      ...(small && { "Content-Encoding": "br" }),
      "Cache-Control": "max-age=31536000, immutable",
    });
    Readable.from(paced(small ? [small] : createReadStream(file))).pipe(response);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  const url = `http://localhost:${server.address().port}/`;
  return {
    url,
    /** The page of a library alone; see src/start.ts. */
    startPage(side, model, device) {
      const manifest = JSON.parse(readFileSync(join(models, "manifest.json")));
      return `${url}start-${side}.html?model=${model}&side=${manifest[model].side}&device=${device}`;
    },
    /** Megabits a second, for all answers together. */
    line(megabits) {
      bytesPerMs = (megabits * 1e6) / 8 / 1000;
    },
    /** The files asked for since the last call. */
    takeSeen() {
      const files = [...seen.keys()];
      seen.clear();
      return files;
    },
    close: () => server.close(),
  };
}

/** A file's bytes by gzip -9 and brotli's best. */
export function compressed(file, cache) {
  mkdirSync(cache, { recursive: true });
  const bytes = readFileSync(file);
  const key = join(cache, createHash("sha256").update(bytes).digest("hex").slice(0, 24));
  const kept = (suffix, make) => {
    if (!existsSync(key + suffix)) writeFileSync(key + suffix, make());
    return readFileSync(key + suffix);
  };
  return {
    gzip: kept(".gz", () => gzipSync(bytes, { level: 9 })),
    brotli: kept(".br", () => brotliCompressSync(bytes)),
  };
}
