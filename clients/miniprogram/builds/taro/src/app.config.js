export default { pages: ['pages/cashier/index', 'pages/hook/index'] };
