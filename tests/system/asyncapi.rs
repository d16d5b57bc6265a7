//! `docs/asyncapi.yaml`: what AsyncAPI's own parser says of it.

use crate::support::tools;

#[tokio::test]
async fn the_description_of_messages_is_accepted_by_its_parser() {
    tools::run(tools::node_script("asyncapi.js"), String::new()).await;
}
