"""VGG-16 and three stages on crops of 256 pixels, with the loss of pose machines."""

model = dict(
    type="mmext.LandmarkDetector",
    data_preprocessor=dict(type="mmext.LandmarkDataPreprocessor"),
    # torchvision's file of VGG-16 is a good start: add
    # init_cfg=dict(type="Pretrained", checkpoint="vgg16-397923af.pth").
    net=dict(type="mmext.VGGCPM", num_keypoints=68, num_stages=3),
    codec=dict(type="mmext.GaussianHeatmapCodec", input_size=256, stride=8, sigma=4.0),
    loss="sum",
)
