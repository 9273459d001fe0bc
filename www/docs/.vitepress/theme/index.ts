// The default theme without its web font: pages use the system's.
export { default } from "vitepress/theme-without-fonts";
