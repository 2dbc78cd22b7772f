//! The load generator against servers that fail in scripted ways: each failure has to get its
//! exact name, and none may slow the schedule.

#![cfg(feature = "lab")]

mod command;
mod harness;
mod http1;
mod http2;
mod lines;
mod open_loop;
mod websocket;
