//! The weights rebuilt here are those that the official code ran with.

use parity::{COMMITTED, EDGETAM, Fixture};

#[test]
fn weights_are_the_official_sides() {
    for name in COMMITTED.into_iter().chain([EDGETAM]) {
        // Checks the hash over all of them.
        let recipe = Fixture::committed(name).recipe();
        let values: Vec<f64> = recipe.values("no_mem_embed").into_iter().map(f64::from).collect();
        let expected = [0.484_619_140_625, 0.465_087_890_625, -0.281_25, 0.339_355_468_75];
        assert_eq!(values[..4], expected, "{name}");
    }
}
