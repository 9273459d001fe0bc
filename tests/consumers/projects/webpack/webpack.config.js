export default {
  mode: "production",
  entry: "./main.js",
  output: { path: new URL("public", import.meta.url).pathname },
  // That the weights are large is no news.
  performance: { hints: false },
};
