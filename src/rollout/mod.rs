//! The rollout lab: a real rolling update of real processes, under load, for every drain mode.

pub mod cluster;
pub mod load;
pub mod timeline;
