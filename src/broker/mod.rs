//! RabbitMQ: what comes in is decoded, made durable, shown to the pages that wait, and acknowledged, in that order;
//! what goes out is confirmed.

pub mod decode;
