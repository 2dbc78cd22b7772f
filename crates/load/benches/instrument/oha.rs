//! Another generator over the same stall, for comparison: <https://github.com/hatoo/oha>.

use std::{error::Error, io, process::Command};

use super::{
    measured::{Row, Table},
    stall::{QUANTILES, RATE, SECONDS, by_hand, server},
};

pub(crate) fn measure(table: &mut Table) -> Result<(), Box<dyn Error>> {
    for (corrected, connections) in [(false, 50), (true, 50), (true, 1_100)] {
        let server = server()?;
        let requests = RATE * SECONDS;
        let mut oha = Command::new("oha");
        oha.args(["--no-tui", "--no-color", "--output-format", "json"])
            .args(["-q", &RATE.to_string(), "-n", &requests.to_string()])
            .args(["-c", &connections.to_string()]);
        if corrected {
            oha.arg("--latency-correction");
        }
        let output = match oha.arg(format!("http://{}/", server.address)).output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("instrument:   oha is not on the PATH (cargo install oha): left out");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        for quantile in QUANTILES {
            let name = format!("p{:.0}", quantile * 100.0);
            let seconds = report["latencyPercentiles"][&name].as_f64();
            let seconds = seconds.ok_or_else(|| format!("oha does not tell {name}"))?;
            let how = if corrected { "corrected" } else { "as it is" };
            let what = format!("oha, {how}, {connections} connections: {name}");
            table.push(Row::new(what, seconds * 1_000.0, "ms").of(by_hand(quantile)));
        }
    }
    Ok(())
}
