// A static server with a strict Content-Security-Policy, for the tests: node serve.js PORT
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { BadServer } from "../../www/sam2-web/test/bad-server.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
// The first prefix that fits wins.
const folders = [
  ["/page/", here("dist/page/")],
  ["/quick-start/", here("dist/quick-start/")],
  ["/fixture/", here("dist/fixture/")],
  ["/pictures/", here("../pictures/")],
  ["/clips/", here("clips/")],
  ["/detector/", here("../../weights/shapes-detector/")],
  ["/", here("../../www/demo/dist/")],
];
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".mp4": "video/mp4",
  ".webm": "video/webm",
  ".wasm": "application/wasm",
};
const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "style-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "report-uri /csp-reports",
].join("; ");

/** Misbehaves with the fixture's files; GET /bad-requests lists what it was asked. */
const bad = new BadServer((name) => readFile(here(`dist/fixture/${name}`)));

/** What browsers have reported against the policy; GET /csp-reports lists it. */
const reports = [];

async function answer(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/csp-reports") {
    if (request.method === "POST") reports.push(JSON.parse(await text(request)));
    response.setHeader("Content-Type", "application/json").end(JSON.stringify(reports));
    return;
  }
  if (pathname.startsWith("/bad/")) return bad.answer(request, response, "/bad/");
  if (pathname === "/bad-requests") {
    response.setHeader("Content-Type", "application/json").end(JSON.stringify(bad.requests));
    return;
  }
  const [prefix, folder] = folders.find(([start]) => pathname.startsWith(start));
  const inside = normalize(decodeURIComponent(pathname.slice(prefix.length)));
  const path = join(folder, inside.endsWith("/") || inside === "." ? join(inside, "index.html") : inside);
  const found = path.startsWith(folder) ? await stat(path).catch(() => undefined) : undefined;
  if (!found?.isFile()) {
    response.writeHead(404).end("not found");
    return;
  }
  response.writeHead(200, {
    "Content-Type": types[extname(path)] ?? "application/octet-stream",
    "Content-Length": found.size,
    "Content-Security-Policy": policy,
    "X-Content-Type-Options": "nosniff",
  });
  createReadStream(path).pipe(response);
}

async function text(request) {
  let whole = "";
  for await (const part of request) whole += part;
  return whole;
}

const port = Number(process.argv[2]);
createServer((request, response) => {
  answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
}).listen(port, "localhost");
