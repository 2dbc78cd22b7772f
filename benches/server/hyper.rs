//! Instructions a request of an axum application: plain, on the framework, and named by a layer.

use anyhow::Result;

use super::{
    instructions::Counter,
    load,
    server::{Kind, Programs},
    table::{Row, Table},
};

const TARGET: f64 = 1.03;

pub(crate) fn measure(programs: &Programs, table: &mut Table) -> Result<()> {
    let counter = Counter::choose()?;
    for load in [load::GET, load::POST, load::H2C] {
        let plain = counter.per_request(programs, Kind::Axum("plain"), load)?;
        for (how, what) in [("draining", "on the framework"), ("named", "named by a layer")] {
            let ours = counter.per_request(programs, Kind::Axum(how), load)?;
            let ratio = ours / plain;
            let is_judged = how == "draining";
            table.push(Row {
                what: format!("axum {what}, {}: instructions/request", load.name),
                websample: format!("{ours:.0}"),
                plain: format!("{plain:.0}"),
                ratio: format!("{ratio:.3}"),
                target: if is_judged { format!("≤ {TARGET}") } else { String::new() },
                met: is_judged.then_some(ratio <= TARGET),
            });
        }
    }
    Ok(())
}
