import { expect } from "chai";
import { blobIdFromBase64Url, blobIdToBase64Url } from "../../../simulator/storage/BlobStore.ts";

describe("blob ids", () => {
  const text = "kIrHJ_1VfYJD-OV0O1JicM2lB5swr83ZkfvTD7BWV0I";
  const id = "0x908ac727fd557d8243f8e5743b526270cda5079b30afcdd991fbd30fb0565742";

  it("are the same bytes on chain and in Walrus's API", () => {
    expect(blobIdFromBase64Url(text)).to.equal(id);
    expect(blobIdToBase64Url(id)).to.equal(text);
  });

  it("have one spelling", () => {
    const other = [`${text}=`, text.replace("_", "/"), `${text.slice(0, -1)}J`, text.slice(1), "", "../../etc/passwd"];
    for (const wrong of other) {
      expect(() => blobIdFromBase64Url(wrong), wrong)
        .to.throw("43 characters")
        .with.property("code", "invalid_blob_id");
    }
  });
});
