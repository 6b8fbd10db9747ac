//! `GeoJSON` (RFC 7946) and `TopoJSON` (the `TopoJSON` Format Specification 1.0): structure, not geometry.
//!
//! Which way a ring winds and whether lines cross is not looked at.

use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Whether this is a `GeoJSON` object (RFC 7946 section 3).
pub(super) fn is_geojson(value: &Value) -> bool {
    let Some((kind, object)) = typed(value) else { return false };
    let right = match kind {
        "Feature" => is_feature(object),
        "FeatureCollection" => all(object.get("features"), |feature| {
            typed(feature).is_some_and(|(kind, object)| kind == "Feature" && is_feature(object))
        }),
        _ => is_geometry(kind, object),
    };
    right && has_right_box(object)
}

/// Whether this is a `TopoJSON` object (specification 2): a topology, or a geometry, which alone has no arcs to refer to.
pub(super) fn is_topojson(value: &Value) -> bool {
    let Some(("Topology", object)) = typed(value) else { return typed(value).is_some() && is_topo_geometry(value, 0) };
    let Some(Value::Array(arcs)) = object.get("arcs") else { return false };
    let Some(Value::Object(objects)) = object.get("objects") else { return false };
    arcs.iter().all(|arc| is_list(arc, 2, is_position))
        && objects.values().all(|object| is_topo_geometry(object, arcs.len() as u64))
        && object.get("transform").is_none_or(is_transform)
        && has_right_box(object)
}

/// Section 3.2; a feature without a place has `null` for its geometry.
fn is_feature(object: &Object) -> bool {
    let geometry = match object.get("geometry") {
        Some(Value::Null) => true,
        Some(value) => typed(value).is_some_and(|(kind, geometry)| is_geometry(kind, geometry) && has_right_box(geometry)),
        None => false,
    };
    geometry && matches!(object.get("properties"), Some(Value::Null | Value::Object(_))) && has_right_id(object)
}

/// Section 3.1.
fn is_geometry(kind: &str, object: &Object) -> bool {
    let coordinates = object.get("coordinates");
    match kind {
        // An empty array of coordinates is a geometry of no place, which may be read as null (section 3.1).
        "Point" => coordinates.is_some_and(|point| is_position(point) || is_empty(point)),
        "MultiPoint" => all(coordinates, is_position),
        "LineString" => coordinates.is_some_and(|line| is_line(line) || is_empty(line)),
        "MultiLineString" => all(coordinates, is_line),
        "Polygon" => coordinates.is_some_and(|rings| is_list(rings, 0, is_ring)),
        "MultiPolygon" => all(coordinates, |rings| is_list(rings, 0, is_ring)),
        "GeometryCollection" => all(object.get("geometries"), |geometry| {
            typed(geometry).is_some_and(|(kind, object)| is_geometry(kind, object) && has_right_box(object))
        }),
        _ => false,
    }
}

fn is_topo_geometry(value: &Value, arcs: u64) -> bool {
    let Value::Object(object) = value else { return false };
    let is_arc = |value: &Value| match value.as_i64() {
        // ~i is the arc i, backwards.
        Some(at) => (if at < 0 { !at } else { at }).unsigned_abs() < arcs,
        None => false,
    };
    let is_chain = |value: &Value| is_list(value, 0, is_arc);
    let kind = object.get("type");
    let right = match kind.and_then(Value::as_str) {
        Some("Point") => object.get("coordinates").is_some_and(is_position),
        Some("MultiPoint") => all(object.get("coordinates"), is_position),
        Some("LineString") => object.get("arcs").is_some_and(is_chain),
        Some("MultiLineString" | "Polygon") => all(object.get("arcs"), is_chain),
        Some("MultiPolygon") => all(object.get("arcs"), |polygon| is_list(polygon, 0, is_chain)),
        Some("GeometryCollection") => all(object.get("geometries"), |geometry| is_topo_geometry(geometry, arcs)),
        Some(_) => false,
        None => kind == Some(&Value::Null),
    };
    let properties = object.get("properties").is_none_or(|value| value.is_object() || value.is_null());
    right && properties && has_right_id(object) && has_right_box(object)
}

fn is_transform(value: &Value) -> bool {
    ["scale", "translate"].iter().all(|name| {
        value
            .get(name)
            .is_some_and(|pair| is_list(pair, 2, Value::is_number) && pair.as_array().is_some_and(|pair| pair.len() == 2))
    })
}

/// Section 4.1 of RFC 7946: two numbers or more.
fn is_position(value: &Value) -> bool {
    is_list(value, 2, Value::is_number)
}

fn is_line(value: &Value) -> bool {
    is_list(value, 2, is_position)
}

/// Section 3.1.6: four positions or more, of which the last is the first.
fn is_ring(value: &Value) -> bool {
    is_list(value, 4, is_position) && value.as_array().is_some_and(|ring| ring.first() == ring.last())
}

/// Section 5: the corners of a box, of as many numbers each.
fn has_right_box(object: &Object) -> bool {
    object.get("bbox").is_none_or(|value| {
        is_list(value, 4, Value::is_number) && value.as_array().is_some_and(|numbers| numbers.len() % 2 == 0)
    })
}

fn has_right_id(object: &Object) -> bool {
    object.get("id").is_none_or(|id| id.is_string() || id.is_number())
}

fn typed(value: &Value) -> Option<(&str, &Object)> {
    let object = value.as_object()?;
    Some((object.get("type")?.as_str()?, object))
}

fn all(value: Option<&Value>, is_item: impl Fn(&Value) -> bool) -> bool {
    value.is_some_and(|value| is_list(value, 0, is_item))
}

fn is_list(value: &Value, least: usize, is_item: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.len() >= least && items.iter().all(is_item))
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}
