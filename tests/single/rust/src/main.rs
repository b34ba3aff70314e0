use std::collections::HashMap;

fn main() {
    let words = HashMap::from([("greeting", "hello")]);
    println!("{} from rust", words["greeting"]);
}
