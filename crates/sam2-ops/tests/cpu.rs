//! Compares every operation on the CPU, with burn's and with packed products, with the portable one.

mod common;

use burn::tensor::Device;
use common::compare_all;
use sam2_ops::{Implementation, Products};

#[test]
fn burns_products_compute_as_the_portable_operations() {
    compare_all(
        &Implementation::portable(Device::flex()),
        &Implementation::cpu(Products::Burn),
    );
}

#[test]
fn packed_products_compute_as_the_portable_operations() {
    compare_all(
        &Implementation::portable(Device::flex()),
        &Implementation::cpu(Products::Packed),
    );
}
