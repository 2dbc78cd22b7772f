//! The load generator against servers that fail in scripted ways: each failure has to get its
//! exact name, and none may slow the schedule.

mod harness;
mod http1;
mod http2;
mod open_loop;
mod tls;
mod websocket;
