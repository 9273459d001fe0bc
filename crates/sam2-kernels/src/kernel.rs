//! A kernel and all that its launch needs but the buffers.

/// Invocations of a workgroup.
pub const GROUP: u32 = 64;
/// WebGPU's default limit of workgroups along one axis.
const GROUPS: u32 = 65_535;

/// A buffer that is read: its WGSL name and the type of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input(pub &'static str, pub &'static str);

/// Of four values each.
pub(crate) const fn fours(name: &'static str) -> Input {
    Input(name, "vec4<f32>")
}

/// WGSL text with an entry point `main`, and its sizes.
pub struct Kernel {
    /// Kernel and variant: equal keys, equal text.
    pub key: String,
    /// In the order of their binding. After them come `out`, which is written, and the uniform `info`.
    pub inputs: Vec<Input>,
    /// Type of the values of `out`.
    pub output: &'static str,
    /// Sizes, in fours.
    pub info: Vec<u32>,
    /// How many invocations are needed; more do nothing.
    pub invocations: usize,
    /// The text after the bindings, written only where a pipeline is made.
    pub(crate) body: Box<dyn Fn() -> String + Send + Sync>,
}

impl Kernel {
    /// The whole text. Where several of the inputs and outputs may lie in one buffer, WebGPU wants them bound alike.
    pub fn text(&self, shared_buffers: bool) -> String {
        let read = if shared_buffers { "read_write" } else { "read" };
        let body = (self.body)();
        let mut text = String::new();
        if body.contains("f16") || self.inputs.iter().any(|Input(_, kind)| kind.contains("f16")) {
            text += "enable f16;\n";
        }
        for (i, Input(name, kind)) in self.inputs.iter().enumerate() {
            text += &format!("@group(0) @binding({i}) var<storage, {read}> {name}: array<{kind}>;\n");
        }
        let (next, output) = (self.inputs.len(), self.output);
        text += &format!("@group(0) @binding({next}) var<storage, read_write> out: array<{output}>;\n");
        let (next, fours) = (next + 1, self.info.len() / 4);
        text += &format!("@group(0) @binding({next}) var<uniform> info: array<vec4<u32>, {fours}>;\n");
        text + &body
    }

    /// Workgroups along x and y.
    pub fn groups(&self) -> [u32; 2] {
        let groups = u32::try_from(self.invocations.div_ceil(GROUP as usize)).unwrap_or(u32::MAX);
        let rows = groups.div_ceil(GROUPS).max(1);
        [groups.div_ceil(rows), rows]
    }
}

/// The beginning of every entry point: `index` is the invocation's number.
pub(crate) fn entry() -> String {
    format!(
        "@compute @workgroup_size({GROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{
  let index = id.y * groups.x * {GROUP}u + id.x;
"
    )
}

/// The same where workgroups share memory: `group` is the workgroup's number, `local` the invocation's in it.
pub(crate) fn group_entry() -> String {
    format!(
        "@compute @workgroup_size({GROUP})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {{
  let group = id.y * groups.x + id.x;
"
    )
}

/// Sizes as the uniform has them.
pub(crate) fn info(sizes: &[usize]) -> Vec<u32> {
    let mut words: Vec<u32> = sizes.iter().map(|&size| size as u32).collect();
    words.resize(words.len().next_multiple_of(4), 0);
    words
}
