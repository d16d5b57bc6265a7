export default { navigationBarTitleText: 'With the hook' };
