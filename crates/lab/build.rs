//! Packs the report page's chart library, so that neither the repository nor the network has to
//! hold it: the `plotly` crate carries Plotly.js, and this takes it from there.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    chart_library::pack();
}

mod chart_library {
    use std::{env, fs, io::Write as _, path::Path};

    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use flate2::{Compression, write::GzEncoder};

    /// Writes `plotly.js.gz.base64` for the page to include: gzipped it is a third of the size,
    /// in every page and in this program; browsers unpack it themselves.
    pub(super) fn pack() {
        let sources = plotly::Plot::offline_js_sources();
        let library = scripts(&sources)
            .into_iter()
            .find(|script| script.trim_start().starts_with("/**\n* plotly.js"))
            .expect("the plotly crate hands out plotly.js, with its licence at its head");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(library.trim().as_bytes()).expect("memory takes everything");
        let packed = encoder.finish().expect("memory takes everything");
        let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
        fs::write(Path::new(&out).join("plotly.js.gz.base64"), BASE64_STANDARD.encode(packed))
            .expect("OUT_DIR can be written");
    }

    /// The texts of the `<script>` elements: MathJax is among them, which no chart here needs.
    fn scripts(html: &str) -> Vec<&str> {
        html.split("<script")
            .skip(1)
            .filter_map(|rest| {
                let (_, body) = rest.split_once('>')?;
                Some(body.split_once("</script>").map_or(body, |(body, _)| body))
            })
            .collect()
    }
}
