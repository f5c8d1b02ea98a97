# ImageNet-100, 128 images per GPU: the usual hundred classes out of an ImageNet-1K folder, or the
# packaging with train.X1 .. train.X4, val.X and Labels.json: --cfg-options data_root=PATH takes either.
# Other classes: --cfg-options train_dataloader.dataset.class_list=FILE, and so for val and test.
_base_ = './imagenet_bs256.py'

dataset_type = 'ImageNet100'
num_classes = 100
data_preprocessor = dict(num_classes=num_classes)
train_dataloader = dict(batch_size=128, dataset=dict(type=dataset_type))
val_dataloader = dict(batch_size=128, dataset=dict(type=dataset_type))
test_dataloader = val_dataloader
