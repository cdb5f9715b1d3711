//! What must hold before anything is lowered.

use super::recompute::Again;
use super::{LowerError, operand};
use crate::layer::{LayerSpec, Shape, Shortcut};
use crate::model::Layer;
use crate::optimizer::Compensation;
use crate::recipe::{Recipe, RoleFormat, Roles, Scale};
use systole_isa::design::Design;
use systole_isa::format::Format;
use systole_isa::round::encode_f64;

/// Refuses layers and roles that a design, or its instructions, cannot express.
pub(super) fn check(
    layers: &[Layer],
    by_layer: &[Roles<RoleFormat>],
    again: &[Option<Again>],
    recipe: &Recipe,
    design: &Design,
) -> Result<(), LowerError> {
    let limit = design.vector.format;
    for ((layer, roles), again) in layers.iter().zip(by_layer).zip(again) {
        if operand::multiplies(&layer.spec) {
            let Roles { weights, activations, errors, .. } = roles;
            operand::check(design, "the forward product (activations x weights)", activations, weights)?;
            if let Some(again) = again {
                again.check(design, layer, roles)?;
            }
            let (weights, activations) = again.as_ref().and_then(Again::backward).unwrap_or((weights, activations));
            operand::check(design, "the error product (errors x weights)", errors, weights)?;
            operand::check(design, "the weight-gradient product (errors x activations)", errors, activations)?;
            if errors.hadamard != activations.hadamard {
                let (activations, errors) = (activations.hadamard, errors.hadamard);
                return Err(LowerError::Hadamard { layer: layer.name.clone(), activations, errors });
            }
            if errors.hadamard > 0 {
                let plain = RoleFormat::new(roles.vector.format);
                operand::check(design, "the Hadamard transform (in the vector role's format)", &plain, &plain)?;
            }
        }
        if let LayerSpec::Attention(_) = layer.spec {
            let Roles { activations, errors, .. } = roles;
            operand::check(design, "the products of attention (activations x activations)", activations, activations)?;
            operand::check(design, "the error products of attention (errors x activations)", errors, activations)?;
        }
        let compensation = recipe.optimizer.compensation;
        let scaled = |role: &RoleFormat| !role.is_plain() || role.bias != 0;
        let unfit = match compensation {
            Compensation::Kahan => scaled(&roles.master_weights).then_some("master_weights"),
            Compensation::Residual => [("master_weights", &roles.master_weights), ("weights", &roles.weights)]
                .into_iter()
                .find(|(_, role)| scaled(role))
                .map(|(name, _)| name),
            Compensation::None | Compensation::ErrorFeedback => None,
        };
        if let Some(role) = unfit {
            return Err(LowerError::Compensation { role, layer: layer.name.clone() });
        }
        for (role, format) in roles.iter().chain(again.iter().flat_map(Again::roles)) {
            for format in [Some(format.format), format.expand].into_iter().flatten() {
                if format.precision() > limit.precision() {
                    return Err(LowerError::VectorWidth { role, format, design: design.name.clone(), limit });
                }
            }
            let (vector, scale) = (roles.vector.format, f64::from(format.bias).exp2());
            if [scale, 1.0 / scale].iter().any(|&power| vector.to_f64(encode_f64(vector, power)) != power) {
                return Err(LowerError::Bias { role, bias: format.bias, format: vector });
            }
            // Scales and powers are worked out in binary32.
            if format.scale != Scale::None && limit.precision() < Format::FP32.precision() {
                return Err(LowerError::VectorWidth { role, format: Format::FP32, design: design.name.clone(), limit });
            }
        }
    }
    for (layer, roles) in layers.iter().zip(by_layer) {
        let within = |what: &str, value: usize, limit: usize| {
            if value > limit { Err(LowerError::Extent { what: format!("layer {}: {what}", layer.name), value, limit }) } else { Ok(()) }
        };
        for shape in [layer.input, layer.output] {
            let Shape { height, width, channels } = shape;
            within("the number of rows of its activations", recipe.batch as usize * shape.positions(), (1 << 24) - 1)?;
            within("the height of its images", height, 4095)?;
            within("the width of its images", width, 4095)?;
            // Flat images are rows.
            if matches!(layer.spec, LayerSpec::Linear(_) | LayerSpec::Flatten) {
                within("the number of values of one image", shape.elements(), (1 << 24) - 1)?;
            } else {
                within("the number of its channels", channels, 65_535)?;
            }
        }
        match layer.spec {
            LayerSpec::Convolution(l) => {
                if roles.errors.hadamard > 0 {
                    let windows = layer.output.positions() * l.kernel * l.kernel * layer.input.channels;
                    let rows = recipe.batch as usize * windows / roles.errors.hadamard as usize;
                    within("the number of rows of its Hadamard transform", rows, (1 << 24) - 1)?;
                }
                within("its kernel", l.kernel, 63)?;
                within("its padding", l.padding, 63)?;
                within("its stride", l.stride, 63)?;
                if l.padding >= l.kernel && layer.inputs.iter().any(|input| input.wanted) {
                    return Err(LowerError::Padding { layer: layer.name.clone(), padding: l.padding, kernel: l.kernel });
                }
            }
            LayerSpec::MaxPool(crate::layer::MaxPool(w)) | LayerSpec::AvgPool(crate::layer::AvgPool(w)) => {
                within("its window", w.size, 63)?;
                within("its padding", w.padding, 63)?;
                within("its stride", w.stride, 63)?;
            }
            LayerSpec::GlobalAvgPool(_) => {
                within("the height of its images", layer.input.height, 63)?;
                within("the width of its images", layer.input.width, 63)?;
            }
            LayerSpec::Shortcut(Shortcut { stride, .. }) => within("its stride", stride, 63)?,
            LayerSpec::Attention(l) => {
                let positions = layer.input.positions();
                within("the number of rows of its scores", recipe.batch as usize * l.heads * positions, (1 << 24) - 1)?;
                within("the number of scores of one head", positions * positions, (1 << 24) - 1)?;
            }
            LayerSpec::Positions(_) => within("the number of its values", layer.input.elements(), (1 << 24) - 1)?,
            _ => {}
        }
    }
    Ok(())
}
