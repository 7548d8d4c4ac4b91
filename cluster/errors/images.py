"""Pictures in requests."""

from cluster.errors.requests import BadRequest


class ImageUrlNotAllowed(BadRequest):
    """A picture that is neither a base64 data URL nor at an address that may be asked; no file is opened."""

    code = "invalid_image_url"


class ImageFetchFailed(BadRequest):
    """A picture's address may be asked, and gave none."""

    code = "image_fetch_failed"


class UnsupportedImage(BadRequest):
    """A picture of a format that is not read here."""

    code = "unsupported_image_media_type"


class UnreadableImage(BadRequest):
    """A picture whose bytes are broken, or that the model cannot take."""

    code = "image_parse_error"


class ImageTooLarge(BadRequest):
    """A picture of more bytes or pixels than allowed."""

    code = "image_too_large"
