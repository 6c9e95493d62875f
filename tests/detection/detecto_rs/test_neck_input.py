"""RFP: what does not fit together is refused with a sentence that says what would."""

import pytest

from mmext.detection.detecto_rs.neck import RFP
from tests.detection.detecto_rs.nets import (
    FEEDBACK,
    FPN,
    PLAIN,
    TINY,
    backbone,
    channels,
    detector,
    images,
)


class TestBadInput:
    @pytest.mark.parametrize(
        ("neck", "message"),
        [
            (dict(rfp_steps=1), "rfp_steps must be at least 2, got 1; one step is mmdet.FPN"),
            (dict(rfp_backbone=None), "either rfp_backbone or rfp_sharing=True, got none"),
            (dict(rfp_sharing=True), "either rfp_backbone or rfp_sharing=True, got both"),
            (dict(reuse_stem="yes"), r"reuse_stem must be one of \('auto', 'never'\), got 'yes'"),
            (
                dict(init_cfg=dict(type="Xavier")),
                "init_cfg must be None: RFP has parts that each start",
            ),
            (dict(aspp_dilations=(1, 3, 6)), r"aspp_dilations must end with 1, .* got \(1, 3, 6\)"),
            (
                dict(aspp_out_channels=3),
                "rfp_inplanes of DetectoRS_ResNet must be 12, .* got 16 in 3",
            ),
            (
                dict(in_channels=[32, 64, 128, 256]),
                r"in_channels=\[32, 64, 128, 256\], got \[8, 16, 32, 64\]",
            ),
            (dict(in_channels=[8, 16, 32]), "the same depth, width and out_indices"),
            (
                dict(start_level=2, num_outs=2),
                r"stages \[2\] of DetectoRS_ResNet ask for feedback, .*stages \[3, 4\]",
            ),
        ],
    )
    def test_a_neck_that_cannot_be_is_refused_with_a_sentence(self, neck, message):
        later = dict(type="mmext.DetectoRS_ResNet", **TINY, rfp_inplanes=FEEDBACK)
        cfg = dict(in_channels=channels(**TINY), **FPN, aspp_out_channels=4, rfp_backbone=later)
        with pytest.raises(ValueError, match=message):
            RFP(**{**cfg, **neck})

    def test_the_sentence_about_stages_says_what_works(self):
        asked = dict(stage_with_rfp=(False, False, True, True))
        model = detector(rfp=asked, start_level=2, num_outs=2)
        assert len(model(images())) == 2
        with pytest.raises(ValueError, match=r"set stage_with_rfp=\(False, False, True, True\)"):
            detector(start_level=2, num_outs=2)

    @pytest.mark.parametrize(
        ("later", "message"),
        [
            (
                dict(type="mmdet.ResNet"),
                "must be one of mmext, got mmdet.models.backbones.resnet.ResNet; use",
            ),
            (dict(type="mmdet.DetectoRS_ResNet", depth=50), "or put it into mmext.RFPFeedback"),
            (dict(type="mmext.DetectoRS_ResNet"), "must be 16, .* got None in 0"),
            (
                dict(type="mmext.DetectoRS_ResNet", rfp_inplanes=16, stage_with_rfp=(False,) * 4),
                "in at least one stage, got 16 in 0",
            ),
        ],
    )
    def test_a_backbone_without_feedback_is_refused(self, later, message):
        with pytest.raises(ValueError, match=message):
            RFP(channels(**TINY), **FPN, aspp_out_channels=4, rfp_backbone={**TINY, **later})

    def test_maps_without_the_image_are_refused_with_the_cure(self):
        model = detector()
        model.backbone.output_img = False
        with pytest.raises(
            ValueError, match="expected the image and 4 maps, got 4 tensors; set output_img=True"
        ):
            model(images())

    def test_maps_of_another_backbone_are_refused(self):
        neck = detector().neck
        with pytest.raises(
            ValueError, match=r"expected maps of \[8, 16, 32, 64\] channels .* got \[32, 64, 128"
        ):
            neck(backbone(**PLAIN, output_img=True)(images()))

    def test_sharing_needs_the_backbone_itself(self):
        model = detector(sharing=True)
        with pytest.raises(
            ValueError, match="needs a backbone of mmext that hands itself on, got bare tensors"
        ):
            model.neck(tuple(model.backbone(images())))
        model.backbone.rfp_inplanes, model.backbone.stage_with_rfp = None, (False,) * 4
        with pytest.raises(ValueError, match="rfp_inplanes of DetectoRS_ResNet must be 16"):
            model(images())

    def test_feedback_that_the_first_step_never_gets_is_refused(self):
        model = detector()
        model.backbone = backbone(**TINY, rfp_inplanes=FEEDBACK, output_img=True)
        with pytest.raises(
            ValueError, match="remove rfp_inplanes there, or set rfp_sharing=True in the neck"
        ):
            model(images())
