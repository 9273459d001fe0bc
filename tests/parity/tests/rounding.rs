//! Memories are rounded as the official predictor stores them.

use burn::tensor::{Tensor, TensorData};
use half::bf16;
use parity::cpu;
use sam2::memory::round_to_bf16;

#[test]
fn as_bfloat16() {
    // Every leading part of the mantissa, in several sizes and both signs; ties are among the last bits.
    let last_bits = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF];
    let heads = (0..128u32).flat_map(|m| (120..135u32).map(move |exponent| exponent << 23 | m << 16));
    let values: Vec<f32> = heads
        .flat_map(|head| last_bits.map(|last| head | last))
        .flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
        .collect();
    let expected: Vec<f32> = values.iter().map(|&v| bf16::from_f32(v).to_f32()).collect();
    let count = values.len();
    let tensor = Tensor::<1>::from_data(TensorData::new(values.clone(), [count]), &cpu());
    let rounded = round_to_bf16(tensor)
        .into_data()
        .try_to_vec::<f32>()
        .expect("f32");
    for ((value, ours), theirs) in values.iter().zip(rounded).zip(expected) {
        assert_eq!(ours, theirs, "{value}");
    }
}
