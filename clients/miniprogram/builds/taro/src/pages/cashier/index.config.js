export default { navigationBarTitleText: 'Cashier' };
