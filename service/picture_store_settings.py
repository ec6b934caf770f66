"""Where pictures are kept, a group of `service.settings`."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PictureStoreSettings(BaseModel):
    """The store of pictures and of batches' items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(
        default="",
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?)?$",
        description="`s3://BUCKET` or `s3://BUCKET/PREFIX` of an S3-compatible store, which every gateway and worker "
        "reaches with the credentials of its environment (`AWS_ACCESS_KEY_ID` ...); empty: files in `XMDPT_DATA_DIR`.",
    )
    endpoint: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="`https://` or `http://` address of a store that is not Amazon's.",
    )
    region: str = Field(default="us-east-1", min_length=1, description="Of the bucket.")

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.endpoint and not self.bucket:
            raise ValueError("XMDPT_PICTURES__ENDPOINT goes with XMDPT_PICTURES__BUCKET")
        return self
