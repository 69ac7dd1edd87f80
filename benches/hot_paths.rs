//! Bytes of COPY text per second through every hot path, on one core: `cargo bench --bench hot_paths`.

use divan::Bencher;
use divan::counter::BytesCount;

mod paths;

fn main() {
    divan::main();
}

#[divan::bench(args = paths::ALL)]
fn hot_path(bencher: Bencher<'_, '_>, path: &paths::Path) {
    let input = paths::Input::new(8 << 20);
    let Ok(input) = input else { panic!("there is no input") };
    bencher.counter(BytesCount::new(input.text.len())).bench_local(|| (path.run)(&input, 1));
}
