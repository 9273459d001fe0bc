//! A kernel: its text, its sizes, its bindings and the number of its invocations.

use std::fmt::Write;

/// The number of invocations of a workgroup.
pub const GROUP: u32 = 64;
/// WebGPU's default limit for the number of workgroups along one axis.
const GROUPS: u32 = 65_535;

/// An input buffer: its name in the text and the WGSL type of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input(pub &'static str, pub &'static str);

/// An input buffer of f32 values that is read four at a time.
pub(crate) fn vec4(name: &'static str) -> Input {
    Input(name, "vec4<f32>")
}

/// WGSL text with an entry point `main`, and the sizes that it reads from a uniform.
///
/// Everything is in bind group 0: the inputs in their order, then the output `out`, then the uniform `info`.
pub struct Kernel {
    /// The name of the kernel and its variant. Kernels of equal keys have equal texts and share a pipeline.
    pub key: String,
    /// The input buffers, in the order of their bindings.
    pub inputs: Vec<Input>,
    /// The WGSL type of the values of `out`.
    pub output: &'static str,
    /// The fields of `info`, all `u32`, in their order. Kernels of equal keys have fields of equal names.
    pub info: Vec<(&'static str, u32)>,
    /// The number of invocations that are needed. The others, which fill the last workgroup, do nothing.
    pub invocations: usize,
    /// Writes the text after the bindings. It is only called when a pipeline is made.
    pub(crate) body: Box<dyn Fn() -> String + Send + Sync>,
}

impl Kernel {
    /// The whole text. With `shared_buffers`, inputs and the output may be parts of one buffer, which WebGPU only
    /// allows if all are bound as `read_write`.
    pub fn text(&self, shared_buffers: bool) -> String {
        let access = if shared_buffers { "read_write" } else { "read" };
        let body = (self.body)();
        let mut text = String::new();
        if body.contains("f16") || self.inputs.iter().any(|Input(_, kind)| kind.contains("f16")) {
            text += "enable f16;\n";
        }
        let mut line = |args: std::fmt::Arguments| writeln!(text, "{args}").expect("text");
        line(format_args!("struct Info {{"));
        for (name, _) in &self.info {
            line(format_args!("  {name}: u32,"));
        }
        line(format_args!("}}"));
        for (i, Input(name, kind)) in self.inputs.iter().enumerate() {
            line(format_args!(
                "@group(0) @binding({i}) var<storage, {access}> {name}: array<{kind}>;"
            ));
        }
        let (next, output) = (self.inputs.len(), self.output);
        line(format_args!(
            "@group(0) @binding({next}) var<storage, read_write> out: array<{output}>;
@group(0) @binding({}) var<uniform> info: Info;",
            next + 1
        ));
        text + &body
    }

    /// The contents of the uniform `info`, padded to a multiple of 16 bytes, because implementations round the size of a
    /// uniform's type up to that.
    pub fn words(&self) -> Vec<u32> {
        let mut words: Vec<u32> = self.info.iter().map(|(_, value)| *value).collect();
        words.resize(words.len().next_multiple_of(4), 0);
        words
    }

    /// The number of workgroups along x and y.
    pub fn groups(&self) -> [u32; 2] {
        let groups = u32::try_from(self.invocations.div_ceil(GROUP as usize)).unwrap_or(u32::MAX);
        let rows = groups.div_ceil(GROUPS).max(1);
        [groups.div_ceil(rows), rows]
    }
}

/// The beginning of an entry point whose invocations work independently. `index` is the invocation's number.
pub(crate) fn entry() -> String {
    format!(
        "@compute @workgroup_size({GROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{
  let index = id.y * groups.x * {GROUP}u + id.x;
"
    )
}

/// The beginning of an entry point whose workgroups share memory. `group` is the workgroup's number, and `local` the
/// invocation's number in it.
pub(crate) fn group_entry() -> String {
    format!(
        "@compute @workgroup_size({GROUP})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {{
  let group = id.y * groups.x + id.x;
"
    )
}

/// The fields of `info`. Sizes fit a `u32`, since no WebGPU buffer has more values.
pub(crate) fn info<const N: usize>(fields: [(&'static str, usize); N]) -> Vec<(&'static str, u32)> {
    fields.map(|(name, value)| (name, value as u32)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(info: Vec<(&'static str, u32)>) -> Kernel {
        Kernel {
            key: "test".into(),
            inputs: vec![vec4("x"), Input("y", "f32")],
            output: "f32",
            info,
            invocations: 65,
            body: Box::new(|| "// body\n".into()),
        }
    }

    #[test]
    fn fields_have_names_in_the_text_and_places_in_the_words() {
        let kernel = kernel(info([
            ("rows", 7),
            ("k", 8),
            ("n", 9),
            ("tiles", 10),
            ("last", 11),
        ]));
        let text = kernel.text(false);
        assert!(
            text.starts_with(
                "struct Info {\n  rows: u32,\n  k: u32,\n  n: u32,\n  tiles: u32,\n  last: u32,\n}\n"
            ),
            "{text}"
        );
        assert!(
            text.ends_with("@binding(3) var<uniform> info: Info;\n// body\n"),
            "{text}"
        );
        assert_eq!(kernel.words(), [7, 8, 9, 10, 11, 0, 0, 0]);
        assert_eq!(kernel.groups(), [2, 1]);
    }

    #[test]
    fn inputs_are_bound_as_their_buffers_allow() {
        let kernel = kernel(info([("rows", 1)]));
        let bound = |access: &str| format!("@group(0) @binding(1) var<storage, {access}> y: array<f32>;\n");
        assert!(kernel.text(false).contains(&bound("read")));
        assert!(kernel.text(true).contains(&bound("read_write")));
    }
}
