/** Id under which nodes serve the liquidation-risk scorer. */
export const LIQUIDATION_RISK_ID = "opengradient/liquidation-risk-v1";

/** The committed ONNX file, made by scripts/trainLiquidationModel.ts. Its model card lies beside it. */
export const LIQUIDATION_RISK_MODEL = new URL("./liquidation-risk.onnx", import.meta.url);
